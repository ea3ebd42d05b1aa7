function y = vdp_resize (x, new_size)
% VDP_RESIZE  Bicubic resize, the kernel widened when the image shrinks.
%
%   y = vdp_resize (x, new_size)
%
%   x          h x w
%   new_size   [rows, columns] of y
%
% R. G. Keys, "Cubic convolution interpolation", IEEE Trans. ASSP 29(6), 1981,
% a = -0.5. Weights sum to 1; borders are mirrored, edge pixel repeated. This is
% the imresize that release 2.2.0 was run with.

  if (isequal (size (x), new_size(1:2)))
    y = x;
    return;
  end
  rows = resize_matrix (size (x, 1), new_size(1));
  columns = resize_matrix (size (x, 2), new_size(2));
  y = (rows * x) * columns';
end

function W = resize_matrix (n_in, n_out)
% Sparse n_out x n_in matrix of the weights along one axis.
  scale = n_out / n_in;
  shrink = min (scale, 1);
  width = 4 / shrink;
  centre = ((0:n_out - 1)' + 0.5) / scale - 0.5;
  tap = bsxfun (@plus, floor (centre - width / 2), 0:ceil (width) + 1);
  weight = cubic (shrink * bsxfun (@minus, tap, centre));
  weight = bsxfun (@rdivide, weight, sum (weight, 2));
  column = mod (tap, 2 * n_in);
  column = min (column, 2 * n_in - 1 - column) + 1;
  row = repmat ((1:n_out)', 1, size (tap, 2));
  W = sparse (row(:), column(:), weight(:), n_out, n_in);
end

function k = cubic (t)
  t = abs (t);
  near = (1.5 * t - 2.5) .* t .^ 2 + 1;
  far = ((-0.5 * t + 2.5) .* t - 4) .* t + 2;
  k = near .* (t <= 1) + far .* (t > 1 & t <= 2);
end
