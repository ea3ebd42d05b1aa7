function y = imresize (x, new_size, method)
% IMRESIZE  Bicubic resize whose weights sum to 1, as MATLAB's do.
%
%   y = imresize (x, new_size), y = imresize (x, new_size, 'bicubic')
%
%   new_size   scale, or [rows, columns] of which one may be NaN
%
% Core Octave has no imresize, and that of its image package (2.14) does not
% normalise: C_map differs by up to 3e-6 at sizes that are no multiple of 16.

  if (nargin > 2 && ~any (strcmpi (method, {'bicubic', 'cubic'})))
    error ('vdp:imresize', 'only bicubic is here, got "%s"', method);
  end
  old_size = [size(x, 1), size(x, 2)];
  if (isscalar (new_size))
    new_size = ceil (old_size * new_size);
  end
  open_side = isnan (new_size);
  if (any (open_side))
    scale = new_size(~open_side) / old_size(~open_side);
    new_size(open_side) = ceil (old_size(open_side) * scale);
  end
  y = zeros ([new_size, size(x, 3)]);
  for c = 1:size (x, 3)
    y(:,:,c) = vdp_resize (double (x(:,:,c)), new_size);
  end
end
