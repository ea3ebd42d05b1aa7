function y = vdp_table (x, table, x_min, x_max)
% VDP_TABLE  Linear look-up in a table over equally spaced nodes.
%
%   y = vdp_table (x, table, x_min, x_max)
%
%   x       any shape, held to x_min..x_max
%   table   vector, its values from x_min to x_max
%   y       the shape of x, in the unit of the table

  last = numel (table) - 1;
  position = (x - x_min) * (last / (x_max - x_min));
  node = min (max (floor (position), 0), last - 1);
  fraction = min (max (position - node, 0), 1);
  table = table(:);
  low = reshape (table(node + 1), size (x));
  high = reshape (table(node + 2), size (x));
  y = low + fraction .* (high - low);
end
