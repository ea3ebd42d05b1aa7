function y = upConv (x, taps, edges, step, start, stop, added)
% UPCONV  Spread samples on zeros, then convolve with reflected borders.
%
%   y = upConv (x, taps, edges, step, start, stop, added)
%
%   edges   only 'reflect1' (default), see corrDn
%   step, start   [rows, columns]; defaults [1 1]
%   stop    size of y; default step .* (size of x - 1) + start
%   added   image that the result is added to (default 0)

  if (nargin < 3), edges = 'reflect1'; end
  if (nargin < 4), step = [1 1]; end
  if (nargin < 5), start = [1 1]; end
  if (nargin < 6), stop = step .* (size (x) - 1) + start; end
  if (nargin < 7), added = 0; end
  spread = zeros (stop);
  spread(start(1):step(1):stop(1), start(2):step(2):stop(2)) = x;
  y = corrDn (spread, rot90 (taps, 2), edges) + added;
end
