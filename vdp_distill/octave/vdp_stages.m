function stages = vdp_stages (path_T, path_R, L_adapt, result)
% VDP_STAGES  What every stage gave, under the names of the Python package.
%
%   stages = vdp_stages (path_T, path_R, L_adapt, result)
%
%   path_T, path_R   see vdp_visual_pathway
%   L_adapt          H x W, cd/m2
%   result           see vdp_detection
%   stages.NAME      of both images, or stages.test.NAME, stages.reference.NAME;
%                    a pyramid is a cell row of h x w x O

  stages = struct ('test', path_T.stages, 'reference', path_R.stages, ...
                   'adapting_luminance', L_adapt, 'contrast_map', result.S);
  stages.masked_difference = result.B;
end
