function path = vdp_visual_pathway (light, surround, options, padding)
% VDP_VISUAL_PATHWAY  The stages that one image passes alone.
%
%   path = vdp_visual_pathway (light, surround, options, padding)
%
%   light      H x W x C, cd/m2
%   surround   1 x C, cd/m2
%   options    struct, see vdp_options
%   padding    surround of the base band; [] takes the mean of this image's
%
%   path.bands       cell of h x w x O, the pyramid with a filtered base band
%   path.L_adapt     H x W, adapting luminance, cd/m2
%   path.padding     scalar, JND units
%   path.stages      struct of the stages, when options.keep_stages is true
%
% Source: paper, section 3 and figure 2.

  L_O = light;
  if (options.do_mtf)
    L_O = vdp_light_scatter (light, surround, options.pixels_per_degree);
  end
  R = vdp_photoreceptors (L_O, options.spectral_matrix);
  path.L_adapt = R(:,:,1) + R(:,:,2);
  P_LMR = vdp_luminance_masking (R, options.peak_sensitivity);
  P = vdp_achromatic (P_LMR);
  pyramid = vdp_build_pyramid (P);
  [base, path.padding] = vdp_baseband (pyramid{end}, mean (path.L_adapt(:)), ...
                                       vdp_band_frequency (numel (pyramid) - 1, ...
                                         options.pixels_per_degree), padding);
  path.bands = pyramid;
  path.bands{end} = base;
  if (options.keep_stages)
    path.stages = struct ('light_scatter', L_O, 'photoreceptors', R, ...
                          'luminance_masking', P_LMR, 'achromatic', P, ...
                          'baseband', base);
    path.stages.pyramid = pyramid;
  end
end
