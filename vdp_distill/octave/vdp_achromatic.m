function P = vdp_achromatic (P_LMR)
% VDP_ACHROMATIC  Joint response of cones and rods without its mean, JND units.
%
%   P = vdp_achromatic (P_LMR)
%
%   P_LMR   H x W x 3 in the order L, M, rod, JND units
%   P       H x W
%
% Source: paper, section 3.3, equation 12; the mean is removed from the cones
% and from the rods alone, as release 2.2.0 does.

  P_C = P_LMR(:,:,1) + P_LMR(:,:,2);
  P_R = P_LMR(:,:,3);
  P = (P_C - mean (P_C(:))) + (P_R - mean (P_R(:)));
end
