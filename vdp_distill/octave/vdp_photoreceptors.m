function R = vdp_photoreceptors (light, M)
% VDP_PHOTORECEPTORS  Light caught by L, M and S cones and by rods.
%
%   R = vdp_photoreceptors (light, M)
%
%   light   H x W x C, cd/m2
%   M       C x 4, spectral matrix, see vdp_spectral_matrix
%   R       H x W x 4 in the order L, M, S, rod
%
% Source: paper, section 3.2, equations 3 and 4.

  [h, w, channels] = size (light);
  R = reshape (reshape (light, h * w, channels) * M, h, w, 4);
end
