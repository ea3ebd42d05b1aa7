function rho = vdp_frequency_grid (canvas, ppd)
% VDP_FREQUENCY_GRID  Spatial frequencies of an FFT, cycles/degree.
%
%   rho = vdp_frequency_grid (canvas, ppd)
%
%   canvas   [rows, columns], both even
%   ppd      samples per degree; the Nyquist frequency is ppd / 2
%   rho      (rows/2 + 1) x (columns/2 + 1): the quadrant from 0 to Nyquist; the
%            other three mirror it

  vertical = axis_frequencies (canvas(1), ppd)';
  horizontal = axis_frequencies (canvas(2), ppd);
  rho = sqrt (bsxfun (@plus, vertical .^ 2, horizontal .^ 2));
end

function f = axis_frequencies (n, ppd)
  f = (0:n/2) * (ppd / 2) / (n / 2);
end
