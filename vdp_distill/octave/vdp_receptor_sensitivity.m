function [s_C, s_R] = vdp_receptor_sensitivity (L)
% VDP_RECEPTOR_SENSITIVITY  Sensitivity of one cone class and of the rods.
%
%   [s_C, s_R] = vdp_receptor_sensitivity (L)
%
%   L     row of increasing luminances, cd/m2
%   s_C   sensitivity of the L cones, and of the M cones
%   s_R   sensitivity of the rods
%
% Source: paper, section 3.3, equations 9 to 11: the cones take what the rods
% leave of the joint sensitivity, half each. Numbers of release 2.2.0.

  s_R = rod_sensitivity (L);
  s_cones = max (joint_sensitivity (L) - s_R, 1e-3);
  % Each class sees half of the light, hence 2 L and the half.
  s_C = 0.5 * interp1 (L, s_cones, min (2 * L, L(end)));
end

function s_A = joint_sensitivity (L)
  s_A = 30.162 * ((4.0627 ./ L) .^ 1.6596 + 1) .^ -0.2712;
end

function s_R = rod_sensitivity (L)
  L_peak = 1.1732;
  s_peak = 10 ^ 1.1414;
  distance = abs (log10 (L / L_peak));
  s_R = s_peak * exp (-distance .^ 1.2167 / 1.1478);
  bright = L > L_peak;
  s_R(bright) = s_peak * exp (-distance(bright) .^ 2.9899 / 0.5547);
end
