function y = vdp_filter_padded (x, quadrant, padding)
% VDP_FILTER_PADDED  Filter an image on a canvas of twice its size.
%
%   y = vdp_filter_padded (x, quadrant, padding)
%
%   x          h x w, top left on the canvas
%   quadrant   (h + 1) x (w + 1), gain at the frequencies of vdp_frequency_grid
%   padding    scalar, the rest of the canvas, in the unit of x
%   y          h x w, the top left of the filtered canvas

  [h, w] = size (x);
  canvas = repmat (padding, 2 * h, 2 * w);
  canvas(1:h, 1:w) = x;
  gain = quadrant([1:h + 1, h:-1:2], [1:w + 1, w:-1:2]);
  filtered = real (ifft2 (fft2 (canvas) .* gain));
  y = filtered(1:h, 1:w);
end
