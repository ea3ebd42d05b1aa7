function bands = vdp_build_pyramid (image)
% VDP_BUILD_PYRAMID  Steerable pyramid 'sp3' with four orientations.
%
%   bands = vdp_build_pyramid (image)
%
%   image   H x W
%   bands   cell: high-pass (h x w), every level (h x w x 4), base (h x w), all
%           in the unit of the image
%
% Source: paper, section 3.4, and E. P. Simoncelli, W. T. Freeman, "The
% Steerable Pyramid", ICIP 1995, in its spatial form.

  filters = vdp_sp3_filters ();
  height = vdp_pyramid_height (size (image));
  bands = cell (1, height + 2);
  bands{1} = correlate (image, filters.hi0);
  x = correlate (image, filters.lo0);
  for level = 1:height
    oriented = zeros ([size(x), 4]);
    padded = vdp_reflect_pad (x, 4);
    for o = 1:4
      oriented(:,:,o) = conv2 (padded, rot90 (filters.band{o}, 2), 'valid');
    end
    bands{level + 1} = oriented;
    x = correlate (x, filters.lo);
    x = x(1:2:end, 1:2:end);
  end
  bands{end} = x;
end

function y = correlate (x, taps)
  y = conv2 (vdp_reflect_pad (x, (size (taps, 1) - 1) / 2), rot90 (taps, 2), ...
             'valid');
end
