function [filtered, padding] = vdp_baseband (base, L_mean, f_base, padding)
% VDP_BASEBAND  Base band filtered with the neural contrast sensitivity.
%
%   [filtered, padding] = vdp_baseband (base, L_mean, f_base, padding)
%
%   base      h x w, JND units
%   L_mean    mean adapting luminance of the image, cd/m2
%   f_base    frequency of the base band, cycles/degree
%   padding   what surrounds the base band; [] takes its mean
%
% Source: paper, section 3.5. The grid of 2 sqrt(2) times the band's frequency
% and the padding by the reference's mean are those of release 2.2.0.

  if (isempty (padding))
    padding = mean (base(:));
  end
  rho = vdp_frequency_grid (2 * size (base), 2 * sqrt (2) * f_base);
  filtered = vdp_filter_padded (base, vdp_ncsf (rho, L_mean), padding);
end
