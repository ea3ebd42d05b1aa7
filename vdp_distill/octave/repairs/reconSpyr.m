function image = reconSpyr (pyramid, sizes, filter_name, edges, levels, orientations)
% RECONSPYR  Image of a steerable pyramid that buildSpyr made.
%
%   image = reconSpyr (pyramid, sizes, filter_name, edges, levels, orientations)
%
%   pyramid        all bands in one column
%   sizes          one row of [rows, columns] a band
%   filter_name    function with the taps (default 'sp1Filters')
%   edges          how upConv continues the image (default 'reflect1')
%   levels         0 high-pass, 1.. oriented, last + 1 base (default 'all')
%   orientations   of the oriented bands (default 'all')
%
% Goes before the tools' own, which takes Octave for a machine with a compiled
% filter that adds in place. This one adds what upConv returns, which is right
% with either filter.

  if (nargin < 3 || isempty (filter_name)), filter_name = 'sp1Filters'; end
  if (nargin < 4 || isempty (edges)), edges = 'reflect1'; end
  if (nargin < 5 || isempty (levels)), levels = 'all'; end
  if (nargin < 6 || isempty (orientations)), orientations = 'all'; end

  [lo0, hi0, lo, bands] = feval (filter_name);
  per_level = size (bands, 2);
  height = (size (sizes, 1) - 2) / per_level;
  if (ischar (levels)), levels = 0:height + 1; end
  if (ischar (orientations)), orientations = 1:per_level; end

  count = prod (sizes(1, :));
  x = reconSpyrLevs (pyramid(count + 1:end), sizes(2:end, :), lo, bands, edges, ...
                     levels, orientations);
  image = upConv (x, lo0, edges);
  if (any (levels == 0))
    high = reshape (pyramid(1:count), sizes(1, :));
    image = image + upConv (high, hi0, edges, [1 1], [1 1], size (high));
  end
end
