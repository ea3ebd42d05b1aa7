function result = vdp_detection (D)
% VDP_DETECTION  Probability of detection, per pixel and in all.
%
%   result = vdp_detection (D)
%
%   D               pyramid of normalised differences, see vdp_contrast_masking
%   result.B        pyramid, D after the slope of the psychometric function
%   result.S        H x W, contrast map before pooling
%   result.C_map    H x W, contrast in units of the threshold
%   result.C_max    scalar
%   result.P_map    H x W, probability 0 to 1
%   result.P_det    scalar
%
% Source: paper, section 3.7, equations 21 to 24; the pooling is that of
% release 2.2.0.

  slope = 3.5 / 10 ^ 0.544068;
  B = cell (size (D));
  for i = 1:numel (D)
    n = 2 ^ (i - 1);
    B{i} = n * vdp_signed_power (D{i} / n, slope);
  end
  S = abs (vdp_reconstruct_pyramid (B));
  C_map = S * sum (S(:)) / (max (S(:)) + 1e-12);
  P_map = 1 - 0.5 .^ C_map;
  result = struct ('S', S, 'C_map', C_map, 'C_max', max (C_map(:)), ...
                   'P_map', P_map, 'P_det', max (P_map(:)));
  result.B = B;
end
