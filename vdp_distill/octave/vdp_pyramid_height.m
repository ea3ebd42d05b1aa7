function height = vdp_pyramid_height (image_size)
% VDP_PYRAMID_HEIGHT  Number of levels with oriented bands.
%
%   height = vdp_pyramid_height (image_size)
%
% A level needs a shorter side of at least the 17 taps of the low-pass filter.

  side = min (image_size(1:2));
  height = 0;
  while (side >= 17)
    height = height + 1;
    side = floor (side / 2);
  end
end
