function y = vdp_reflect_pad (x, margin)
% VDP_REFLECT_PAD  Continue an image by reflection, edge pixel not repeated.
%
%   y = vdp_reflect_pad (x, margin)
%
%   x   h x w
%   y   (h + 2 margin) x (w + 2 margin)

  y = x(reflected (size (x, 1), margin), reflected (size (x, 2), margin));
end

function index = reflected (n, margin)
  period = max (2 * (n - 1), 1);
  index = mod (-margin:n - 1 + margin, period);
  index = min (index, 2 * (n - 1) - index) + 1;
end
