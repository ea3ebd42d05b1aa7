function y = vdp_signed_power (x, e)
% VDP_SIGNED_POWER  Power of the magnitude with the sign kept.
%
%   y = vdp_signed_power (x, e)

  y = sign (x) .* abs (x) .^ e;
end
