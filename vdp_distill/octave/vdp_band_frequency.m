function f = vdp_band_frequency (b, ppd)
% VDP_BAND_FREQUENCY  Peak frequency of a band, cycles/degree.
%
%   f = vdp_band_frequency (b, ppd)
%
%   b     number of the band, from 0, may be an array
%   ppd   pixels per degree

  f = 2 .^ -b * ppd / 2;
end
