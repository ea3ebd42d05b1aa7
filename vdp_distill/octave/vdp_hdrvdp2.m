function result = vdp_hdrvdp2 (test, reference, options)
% VDP_HDRVDP2  HDR-VDP 2.2: what of the difference of two images is visible.
%
%   result = vdp_hdrvdp2 (test, reference, options)
%
%   test, reference   H x W x C, in the unit of options.encoding
%   options           struct, see vdp_options
%   result.P_map      H x W, probability of detection, 0 to 1
%   result.P_det      scalar, probability of detection anywhere
%   result.C_map      H x W, contrast in units of the detection threshold
%   result.C_max      scalar, its largest value
%   result.Q          scalar, quality correlate of release 2.2.1
%   result.stages     struct, only when options.keep_stages is true
%
% The conductor: it calls the stages in order and computes nothing itself.
% Source: R. Mantiuk, K. J. Kim, A. G. Rempel, W. Heidrich, "HDR-VDP-2", ACM
% Trans. Graph. 30(4), 2011, with the fitted numbers of release 2.2.0 and the
% quality correlate of release 2.2.1. Core Octave only.

  if (~isequal (size (test), size (reference)))
    error ('vdp:size', 'test and reference must have the same size');
  end
  options = vdp_options (options, size (test, 3));
  ppd = options.pixels_per_degree;

  light_T = vdp_display_to_light (test, options.encoding);
  light_R = vdp_display_to_light (reference, options.encoding);
  surround = vdp_surround (options.surround_l, light_R);

  % The reference goes first: its base band pads that of both images.
  path_R = vdp_visual_pathway (light_R, surround, options, []);
  path_T = vdp_visual_pathway (light_T, surround, options, path_R.padding);
  L_adapt = (path_T.L_adapt + path_R.L_adapt) / 2;

  D = vdp_contrast_masking (path_T.bands, path_R.bands, L_adapt, ppd, ...
                            options.do_masking);
  result = vdp_detection (D);
  result.Q = vdp_quality (D, light_T, light_R, ppd);
  if (options.keep_stages)
    result.stages = vdp_stages (path_T, path_R, L_adapt, result);
  end
  result = rmfield (result, {'B', 'S'});
end
