function CSF = vdp_band_csf (f, L_adapt, band_size)
% VDP_BAND_CSF  Contrast sensitivity of every pixel of a band.
%
%   CSF = vdp_band_csf (f, L_adapt, band_size)
%
%   f           frequency of the band, cycles/degree
%   L_adapt     H x W, adapting luminance, cd/m2
%   band_size   [h, w]
%   CSF         h x w
%
% Source: paper, section 3.5; the table over 256 luminances is release 2.2.0's.

  lg_min = -5;
  lg_max = 5;
  table = vdp_ncsf (f, 10 .^ linspace (lg_min, lg_max, 256));
  lg_L = log10 (min (max (L_adapt, 10 ^ lg_min), 10 ^ lg_max));
  CSF = vdp_table (vdp_resize (lg_L, band_size), table, lg_min, lg_max);
end
