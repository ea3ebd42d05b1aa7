function Q = vdp_quality (D, light_T, light_R, ppd)
% VDP_QUALITY  Quality correlate; 100 for images that do not differ.
%
%   Q = vdp_quality (D, light_T, light_R, ppd)
%
%   D                  pyramid of normalised differences
%   light_T, light_R   H x W x C, light of test and reference, cd/m2
%   ppd                pixels per degree
%
% Source: release 2.2.1, which refitted paper, section 6.1, equation 25.

  epsilon = 1e-12;
  mask = different_pixels (light_T, light_R);
  Q = 100;
  for i = 1:numel (D)
    w = quality_weight (vdp_band_frequency (i - 1, ppd));
    band_mask = vdp_resize (mask, [size(D{i}, 1), size(D{i}, 2)]);
    for o = 1:size (D{i}, 3)
      masked = D{i}(:,:,o) .* band_mask;
      E = sqrt (sum (masked(:) .^ 2)) / numel (masked);
      Q = Q - w * (log (E + epsilon) - log (epsilon));
    end
  end
end

function mask = different_pixels (light_T, light_R)
% 1 where any channel differs by more than a thousandth; 0/0 counts as equal.
  mask = double (any (abs (light_T - light_R) ./ light_R > 0.001, 3));
end

function w = quality_weight (f)
  frequencies = [60 30 15 7.5 3.75 1.875 0.9375 0.4688 0.2344 0.1172];
  weights = [0 0.2832 0.2832 0.2142 0.2690 0.0398 0.0003 0.0003 0 0];
  f = min (max (f, frequencies(end)), frequencies(1));
  w = interp1 (fliplr (frequencies), fliplr (weights), f);
end
