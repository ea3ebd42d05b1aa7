function result = vdp_run_original (test, reference, encoding, ppd, options)
% VDP_RUN_ORIGINAL  Call the user's hdrvdp and keep what all releases return.
%
%   result = vdp_run_original (test, reference, encoding, ppd, options)
%
%   options   struct; its fields go in as names and values
%   result    struct with P_map, P_det, C_map, C_max and Q

  pairs = [fieldnames(options)'; struct2cell(options)'];
  found = hdrvdp (test, reference, encoding, ppd, pairs(:)');
  names = {'P_map', 'P_det', 'C_map', 'C_max', 'Q'};
  for i = 1:numel (names)
    result.(names{i}) = found.(names{i});
  end
end
