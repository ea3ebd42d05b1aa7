function L_O = vdp_light_scatter (light, surround, ppd)
% VDP_LIGHT_SCATTER  Light on the retina after scatter in the eye, cd/m2.
%
%   L_O = vdp_light_scatter (light, surround, ppd)
%
%   light      H x W x C, cd/m2
%   surround   1 x C, light around the image, cd/m2
%   ppd        pixels per degree
%
% Source: paper, section 3.1, equation 1 (intra-ocular light scatter); the
% canvas of twice the size and the limits are those of release 2.2.0.

  light_min = 1e-5;
  light_max = 1e10;
  [h, w, channels] = size (light);
  mtf = eye_mtf (vdp_frequency_grid ([2 * h, 2 * w], ppd));
  L_O = zeros (h, w, channels);
  for c = 1:channels
    filtered = vdp_filter_padded (light(:,:,c), mtf, surround(c));
    L_O(:,:,c) = min (max (filtered, light_min), light_max);
  end
end

function mtf = eye_mtf (rho)
% Modulation transfer of the eye at rho cycles/degree; 1 at rho = 0.
  u = 0.99727370023777070;
  v = 0.061466549455263;
  a = [0.426 * u, 0.574 * u, v * (1 - u), (1 - u) * (1 - v)];
  b = [0.028, 0.37, 37, 360];
  mtf = zeros (size (rho));
  for k = 1:4
    mtf = mtf + a(k) * exp (-b(k) * rho);
  end
end
