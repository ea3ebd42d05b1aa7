function y = pointOp (x, table, origin, increment, warnings)
% POINTOP  Linear look-up, continued by the first and last segment.
%
%   y = pointOp (x, table, origin, increment, warnings)
%
%   table       values at origin, origin + increment, ...
%   warnings    not used: values outside are not announced

  position = (x - origin) / increment;
  node = min (max (floor (position), 0), numel (table) - 2);
  low = reshape (table(node + 1), size (x));
  high = reshape (table(node + 2), size (x));
  y = low + (position - node) .* (high - low);
end
