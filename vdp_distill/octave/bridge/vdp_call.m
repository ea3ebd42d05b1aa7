function answer = vdp_call (name, varargin)
% VDP_CALL  Call a function with one output; hand back its error, if any.
%
%   answer = vdp_call (name, ...)
%
%   answer.message   empty, or the error and where it came from
%   answer.output    what the function returned

  answer = struct ('message', '', 'output', []);
  try
    answer.output = feval (name, varargin{:});
  catch problem
    answer.message = problem.message;
    for i = 1:numel (problem.stack)
      answer.message = sprintf ('%s\n  in %s, line %d', answer.message, ...
                                problem.stack(i).name, problem.stack(i).line);
    end
  end
end
