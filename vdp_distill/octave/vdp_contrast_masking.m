function D = vdp_contrast_masking (bands_T, bands_R, L_adapt, ppd, do_masking)
% VDP_CONTRAST_MASKING  Difference of the bands in units of the threshold.
%
%   D = vdp_contrast_masking (bands_T, bands_R, L_adapt, ppd, do_masking)
%
%   bands_T, bands_R   pyramids of test and reference, JND units
%   L_adapt            H x W, mean adapting luminance of both, cd/m2
%   ppd                pixels per degree
%   do_masking         false: the threshold is the neural noise alone
%   D                  pyramid, signed
%
% Source: paper, section 3.6, equations 15 to 20. Numbers of release 2.2.0.

  p = 10 ^ 0.544068;
  count = numel (bands_T);
  activity = cellfun (@mutual_masking, bands_T, bands_R, 'UniformOutput', false);
  D = cell (1, count);
  for i = 1:count
    n = 2 ^ (i - 1);
    CSF = 1;     % in the base band the sensitivity is already in
    if (i < count)
      CSF = vdp_band_csf (vdp_band_frequency (i - 1, ppd), L_adapt, ...
                          [size(bands_T{i}, 1), size(bands_T{i}, 2)]);
    end
    threshold = CSF .^ -p;
    D{i} = zeros (size (bands_T{i}));
    for o = 1:size (bands_T{i}, 3)
      d = bands_T{i}(:,:,o) - bands_R{i}(:,:,o);
      excitation = n * vdp_signed_power (d / n, p);
      if (do_masking)
        M = masking_signal (activity, i, o, CSF);
        D{i}(:,:,o) = excitation ./ sqrt (threshold .^ 2 + M .^ 2);
      else
        D{i}(:,:,o) = excitation ./ threshold;
      end
    end
  end
end

function M = masking_signal (activity, i, o, CSF)
% Masking by the band itself, by other orientations, by neighbour bands.
  q = 10 ^ 0.49576;
  k_self = 10 ^ 0.189065;
  k_xo = 10 ^ 0.449199;
  k_xn = 10 ^ 1.52512;
  n = 2 ^ (i - 1);
  m = activity{i}(:,:,o);
  X = max (sum (activity{i}, 3) - m, 0);
  V = neighbour_activity (activity, i, o);
  M = n * (k_self * (m .* CSF / n) .^ q ...
           + k_xo * (X .* CSF / n) .^ q + k_xn * (V .* CSF) .^ q);
end

function V = neighbour_activity (activity, i, o)
% The base band lends nothing to the last level.
  n = 2 ^ (i - 1);
  new_size = [size(activity{i}, 1), size(activity{i}, 2)];
  V = zeros (new_size);
  if (i > 1)
    V = max (vdp_resize (orientation (activity{i - 1}, o), new_size), 0) / (n / 2);
  end
  if (i + 1 < numel (activity))
    V = V + max (vdp_resize (orientation (activity{i + 1}, o), new_size), 0) / (2 * n);
  end
end

function m = orientation (band, o)
% A band with one orientation lends it to all.
  m = band(:,:,min (o, size (band, 3)));
end

function m = mutual_masking (band_T, band_R)
% Mean over 3 x 3 pixels, zeros outside, of what both images share.
  shared = min (abs (band_T), abs (band_R));
  m = zeros (size (shared));
  third = ones (3, 1) / 3;
  for o = 1:size (shared, 3)
    m(:,:,o) = conv2 (third, third, shared(:,:,o), 'same');
  end
end
