function trip = vdp_use_original (folders, repairs, missing)
% VDP_USE_ORIGINAL  Put a user's HDR-VDP on the path, and try its pyramid.
%
%   trip = vdp_use_original (folders, repairs, missing)
%
%   folders          cell of its folders, the first one first on the path
%   repairs          folder of functions that go before it
%   missing          cell of folders with functions for when nobody has them
%   trip.energy      of noise after a round trip through its pyramid, before = 1
%   trip.deviation   relative L2 difference of the noise after that round trip
%
% Folders are named in UTF-8 bytes.

  for i = numel (folders):-1:1
    addpath (char (folders{i}), '-begin');
  end
  addpath (char (repairs), '-begin');
  for i = 1:numel (missing)
    addpath (char (missing{i}), '-end');
  end
  noise = fixed_noise (96, 80);
  [pyramid, sizes] = buildSpyr (noise, 'auto', 'sp3Filters');
  back = reconSpyr (pyramid, sizes, 'sp3Filters');
  trip.energy = sum (back(:) .^ 2) / sum (noise(:) .^ 2);
  trip.deviation = norm (back(:) - noise(:)) / norm (noise(:));
end

function noise = fixed_noise (h, w)
% The same in every release of Octave, unlike rand.
  noise = sin (1e4 * sin ((1:h * w) * 12.9898));
  noise = reshape (noise - mean (noise), h, w);
end
