function y = ifft2 (x, varargin)
% IFFT2  Octave's ifft2, which also takes MATLAB's flag 'symmetric'.
%
% The flag says that the result is real, so the rounding error in the
% imaginary part is dropped.

  if (nargin > 1 && ischar (varargin{end}))
    sizes = varargin(1:end-1);
    y = builtin ('ifft2', x, sizes{:});
    if (strcmp (varargin{end}, 'symmetric'))
      y = real (y);
    end
  else
    y = builtin ('ifft2', x, varargin{:});
  end
end
