function S = vdp_ncsf (rho, L)
% VDP_NCSF  Neural contrast sensitivity, without optics and photoreceptors.
%
%   S = vdp_ncsf (rho, L)
%
%   rho   spatial frequency, cycles/degree: any shape, or a scalar
%   L     adapting luminance, cd/m2: a scalar, or any shape with a scalar rho
%   S     sensitivity; 0 at rho = 0
%
% Source: paper, section 3.5, equation 14, with the refit of release 2.2.0.

  lums = [0.002 0.02 0.2 2 20 150];
  rows = [0.991265 3.74038 0.50722  4.46044
          0.800889 3.54104 0.682505 4.94958
          0.476505 4.37453 0.750315 5.28678
          0.405782 4.40602 0.935314 5.61425
          0.334278 3.79542 1.07327  6.4635
          0.394533 2.7755  1.16577  7.45665];
  lg_L = log10 (min (max (L, lums(1)), lums(end)));
  lg_L = min (max (lg_L, log10 (lums(1))), log10 (lums(end)));
  p = cell (1, 4);
  for k = 1:4
    p{k} = reshape (interp1 (log10 (lums), rows(:,k)', lg_L(:)'), size (L));
  end
  S = zeros (size (rho .* L));
  seen = (rho ~= 0) & true (size (L));
  rho_seen = rho;
  rho_seen(rho == 0) = 1;
  formula = p{4} .* ((1 + (p{1} .* rho_seen) .^ p{2}) ...
                     ./ (1 - exp (-(rho_seen / 7) .^ 2)) .^ p{3}) .^ -0.5;
  S(seen) = formula(seen);
end
