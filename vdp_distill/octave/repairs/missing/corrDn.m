function y = corrDn (x, taps, edges, step, start, stop)
% CORRDN  Correlate with reflected borders and keep every step-th sample.
%
%   y = corrDn (x, taps, edges, step, start, stop)
%
%   edges   only 'reflect1' (default): reflection, edge pixel not repeated
%   step, start, stop   [rows, columns]; defaults [1 1], [1 1], size of x

  if (nargin > 2 && ~strcmp (edges, 'reflect1'))
    error ('vdp:edges', 'only the edges "reflect1" are here, got "%s"', edges);
  end
  if (nargin < 4), step = [1 1]; end
  if (nargin < 5), start = [1 1]; end
  if (nargin < 6), stop = size (x); end
  margin = (max (size (taps)) - 1) / 2;
  padded = vdp_reflect_pad (x, margin);
  rows = margin - (size (taps, 1) - 1) / 2;
  columns = margin - (size (taps, 2) - 1) / 2;
  padded = padded(1 + rows:end - rows, 1 + columns:end - columns);
  y = conv2 (padded, rot90 (taps, 2), 'valid');
  y = y(start(1):step(1):stop(1), start(2):step(2):stop(2));
end
