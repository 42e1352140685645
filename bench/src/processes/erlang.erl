%% The measurements of `processes` in Erlang: main(["spawn", "500000"]) prints the rate and the CPU time of one
%% operation in microseconds. Plain processes for bytes, spawn, pingpong and ring; a gen_server for call, cast and
%% restart, the last under an OTP supervisor.
-module(processes_bench).

-export([main/1, node/2, init/1, handle_call/3, handle_cast/2, start_child/1]).

-define(WARM_UP_PART, 10).
-define(RING, 10000).

main([What, N]) ->
    %% Crash reports would measure the terminal.
    ok = logger:set_primary_config(level, none),
    {Pid, Monitor} = spawn_monitor(fun() -> exit({measured, measure(What, list_to_integer(N))}) end),
    receive
        {'DOWN', Monitor, process, Pid, {measured, Line}} ->
            io:format("~s~n", [Line]),
            halt(0);
        {'DOWN', Monitor, process, Pid, Reason} ->
            io:format("~p~n", [Reason]),
            halt(1)
    end.

measure("bytes", N) ->
    nodes_started(100),
    Before = rss(),
    nodes_started(N),
    io_lib:format("~f", [(rss() - Before) / N]);
measure("spawn", N) ->
    nodes_started(100),
    timed(N, fun() -> nodes_started(N) end);
measure("pingpong", N) -> ring(2, N);
measure("ring", N) -> ring(?RING, N);
measure("call", N) ->
    {ok, Server} = gen_server:start(?MODULE, counter, []),
    call(Server, N div ?WARM_UP_PART),
    timed(N, fun() -> call(Server, N) end);
measure("cast1", N) -> casts(1, N);
measure("cast4", N) -> casts(4, N);
measure("restart", N) ->
    process_flag(trap_exit, true),
    restarts(N div ?WARM_UP_PART),
    timed(N, fun() -> restarts(N) end).

timed(Operations, Work) ->
    {Cpu0, _} = statistics(runtime),
    Start = erlang:monotonic_time(nanosecond),
    Work(),
    Elapsed = erlang:monotonic_time(nanosecond) - Start,
    {Cpu1, _} = statistics(runtime),
    io_lib:format("~f ~f", [Operations * 1.0e9 / Elapsed, (Cpu1 - Cpu0) * 1.0e3 / Operations]).

rss() ->
    {ok, Status} = file:read_file("/proc/" ++ os:getpid() ++ "/status"),
    {match, [KiB]} = re:run(Status, "VmRSS:\\s*(\\d+) kB", [{capture, all_but_first, list}]),
    list_to_integer(KiB) * 1024.

%% Spawns N processes and waits until the last of them runs.
nodes_started(N) ->
    Missing = atomics:new(1, []),
    atomics:put(Missing, 1, N),
    spawn_nodes(N, Missing, self()),
    receive started -> ok end.

spawn_nodes(0, _, _) -> ok;
spawn_nodes(N, Missing, Starter) ->
    spawn(?MODULE, node, [Missing, Starter]),
    spawn_nodes(N - 1, Missing, Starter).

node(Missing, Starter) ->
    case atomics:sub_get(Missing, 1, 1) of
        0 -> Starter ! started;
        _ -> ok
    end,
    receive {connect, Next} -> pass_on(Next, Starter) end.

%% A token is the number of hops that it has to go.
pass_on(Next, Starter) ->
    receive
        0 -> Starter ! done;
        Hops -> Next ! Hops - 1
    end,
    pass_on(Next, Starter).

ring(N, Hops) ->
    Missing = atomics:new(1, []),
    atomics:put(Missing, 1, N),
    Self = self(),
    Ring = [First | Rest] = [spawn(?MODULE, node, [Missing, Self]) || _ <- lists:seq(1, N)],
    receive started -> ok end,
    lists:foreach(fun({Node, Next}) -> Node ! {connect, Next} end, lists:zip(Ring, Rest ++ [First])),
    pass(First, Hops div ?WARM_UP_PART),
    timed(Hops, fun() -> pass(First, Hops) end).

pass(First, Hops) ->
    First ! Hops,
    receive done -> ok end.

call(_, 0) -> ok;
call(Server, N) ->
    gen_server:call(Server, get),
    call(Server, N - 1).

casts(Senders, Each) ->
    {ok, Server} = gen_server:start(?MODULE, counter, []),
    send(Server, Senders, Each div ?WARM_UP_PART),
    timed(Senders * Each, fun() -> send(Server, Senders, Each) end).

send(Server, Senders, Each) ->
    Sending = [spawn_monitor(fun() ->
        cast(Server, Each),
        gen_server:call(Server, get, infinity) %% answered after all that this one sent
    end) || _ <- lists:seq(1, Senders)],
    lists:foreach(fun({Pid, Monitor}) -> receive {'DOWN', Monitor, process, Pid, normal} -> ok end end, Sending).

cast(_, 0) -> ok;
cast(Server, N) ->
    gen_server:cast(Server, add),
    cast(Server, N - 1).

%% Starts a supervisor whose child is restarted N times.
restarts(N) ->
    Missing = atomics:new(1, []),
    atomics:put(Missing, 1, N + 1),
    {ok, Supervisor} = supervisor:start_link(?MODULE, {supervisor, Missing, self()}),
    receive restarted -> ok end,
    unlink(Supervisor).

start_child(Args) -> gen_server:start_link(?MODULE, Args, []).

init(counter) -> {ok, 0};
init({supervisor, Missing, Starter}) ->
    Child = #{id => crasher, start => {?MODULE, start_child, [{crasher, Missing, Starter}]}},
    {ok, {#{strategy => one_for_one, intensity => 1000000000, period => 1}, [Child]}};
init({crasher, Missing, Starter}) ->
    case atomics:sub_get(Missing, 1, 1) of
        0 -> Starter ! restarted;
        _ -> gen_server:cast(self(), crash)
    end,
    {ok, 0}.

handle_call(get, _, Count) -> {reply, Count, Count}.

handle_cast(add, Count) -> {noreply, Count + 1};
handle_cast(crash, _) -> exit(crash).
