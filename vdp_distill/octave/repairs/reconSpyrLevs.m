function image = reconSpyrLevs (pyramid, sizes, lo, bands, edges, levels, orientations)
% RECONSPYRLEVS  Image of the oriented levels and the base of a pyramid.
%
%   image = reconSpyrLevs (pyramid, sizes, lo, bands, edges, levels, orientations)
%
%   pyramid, sizes   without the high-pass band, see reconSpyr
%   lo               taps of the low-pass filter
%   bands            taps of the oriented filters, one a column
%   levels           numbers of the levels to put in; the finest here is 1
%   orientations     numbers of the orientations to put in

  per_level = size (bands, 2);
  height = (size (sizes, 1) - 1) / per_level;
  stops = cumsum (prod (sizes, 2));
  starts = [1; stops(1:end-1) + 1];
  band = @(k) reshape (pyramid(starts(k):stops(k)), sizes(k, :));
  side = round (sqrt (size (bands, 1)));

  image = band (size (sizes, 1)) * any (levels == height + 1);
  for level = height:-1:1
    first = (level - 1) * per_level;
    level_size = sizes(first + 1, :);
    image = upConv (image, lo, edges, [2 2], [1 1], level_size);
    if (any (levels == level))
      for o = intersect (1:per_level, orientations)
        taps = reshape (bands(:, o), side, side);
        image = image + upConv (band (first + o), taps, edges, [1 1], [1 1], level_size);
      end
    end
  end
end
