function P = vdp_luminance_masking (R, peak_sensitivity)
% VDP_LUMINANCE_MASKING  Response of L, M cones and rods, JND units.
%
%   P = vdp_luminance_masking (R, peak_sensitivity)
%
%   R                  H x W x 4, see vdp_photoreceptors
%   peak_sensitivity   lg of the peak sensitivity, 2.4 in release 2.2.0
%   P                  H x W x 3 in the order L, M, rod
%
% Source: paper, section 3.3, equation 6: the sensitivity integrated over the
% light. Release 2.2.0 tabulates it over lg R at 2048 points.

  lg_min = -5;
  lg_max = 5;
  lg_nodes = linspace (lg_min, lg_max, 2048);
  [s_C, s_R] = vdp_receptor_sensitivity (10 .^ lg_nodes);
  % The peak of Daly's CSF, the threshold contrast at 30 cd/m2.
  gain = 0.006894596 / 10 ^ -peak_sensitivity;
  cone = response_curve (lg_nodes, s_C, gain);
  rod = response_curve (lg_nodes, s_R, gain);

  lg_R = log10 (min (max (R(:,:,[1 2 4]), 10 ^ lg_min), 10 ^ lg_max));
  P = cat (3, vdp_table (lg_R(:,:,1), cone, lg_min, lg_max), ...
              vdp_table (lg_R(:,:,2), cone, lg_min, lg_max), ...
              vdp_table (lg_R(:,:,3), rod, lg_min, lg_max));
end

function P = response_curve (lg_nodes, sensitivity, gain)
% dP/dL = S/L, so dP/d(lg L) = S ln 10.
  P = gain * cumtrapz (lg_nodes, sensitivity * log (10));
end
