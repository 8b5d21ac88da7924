#include "cli/run_command.h"

#include <fmt/core.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "base/log.h"
#include "base/mutex.h"
#include "cli/attach_option.h"
#include "cli/cache_directory.h"
#include "cli/engine_preflight.h"
#include "cli/exit_status.h"
#include "cli/run_options.h"
#include "cli/version.h"
#include "control/control_server.h"
#include "control/machine_handle.h"
#include "control/machine_place.h"
#include "host/signal_watch.h"
#include "host/terminal.h"
#include "machine/end_words.h"
#include "machine/host_memory.h"
#include "machine/machine.h"
#include "machine/run_record.h"

namespace mynah {
namespace {

void print_error(const Error& error) {
    std::fputs(fmt::format("mynah run: {}\n", error.message()).c_str(), stderr);
}

// Ends the machine by a signal to this process; a signal that comes before there is one is kept for
// it. A second signal ends the process at once.
class SignalStop {
  public:
    void attach(Machine* machine) EXCLUDES(mutex_) {
        MutexLock lock(mutex_);
        machine_ = machine;
        if (machine_ != nullptr && signal_ != 0) machine_->stop(StopReason::kQuit);
    }
    void signalled(int number) EXCLUDES(mutex_) {
        MutexLock lock(mutex_);
        if (number == SIGWINCH) {
            if (machine_ != nullptr) machine_->terminal_resized();
            return;
        }
        if (signal_ != 0) {
            Terminal::restore_now();
            _exit(kExitError);
        }
        signal_ = number;
        if (machine_ != nullptr) machine_->stop(StopReason::kQuit);
    }
    int signal() EXCLUDES(mutex_) {
        MutexLock lock(mutex_);
        return signal_;
    }

  private:
    Mutex mutex_;
    Machine* machine_ GUARDED_BY(mutex_) = nullptr;
    int signal_ GUARDED_BY(mutex_) = 0;
};

struct Ending {
    int status = kExitError;
    std::string report;  // lines for standard error, once the terminal is itself again
};

int status_of(StopReason reason) {
    switch (reason) {
        case StopReason::kPoweredOff:
        case StopReason::kReset:
        case StopReason::kQuit:
            return kExitOk;
        case StopReason::kCrashed:
        case StopReason::kPanicked:
            return kExitCrashed;
        case StopReason::kInstructionLimit:
        case StopReason::kTimeLimit:
            return kExitLimit;
        case StopReason::kHostError:
            return kExitError;
    }
    return kExitError;
}

std::string reason_line(StopReason reason) {
    switch (reason) {
        case StopReason::kCrashed:
            return "mynah: the guest crashed: a processor shut down (triple fault)\n";
        case StopReason::kPanicked:
            return "mynah: the guest crashed: its kernel panicked\n";
        case StopReason::kInstructionLimit:
            return "mynah: stopped by --instruction-limit\n";
        case StopReason::kTimeLimit:
            return "mynah: stopped by --time-limit\n";
        default:
            return "";
    }
}

// Why a machine that was given a name ended is kept, unless it ended as it should.
void record_end(RunRecord& record, MachinePlace& place, const Machine& machine,
                const Result<StopReason>& reason) {
    if (!reason) {
        record.screen(machine.screen_text());
        record.ended(kEndHostError, reason.error().message());
        place.keep_record();
        return;
    }
    const int status = status_of(reason.value());
    std::string evidence = reason_line(reason.value());
    if (reason.value() == StopReason::kCrashed || status == kExitError)
        evidence += machine.last_events() + machine.next_instructions() + machine.register_dump();
    record.screen(machine.screen_text());
    record.ended(end_word(reason.value()), evidence);
    if (status == kExitCrashed || status == kExitError) place.keep_record();
}

Result<std::unique_ptr<Machine>> make_machine(const MachineConfig& config, RunRecord* record) {
    if (record != nullptr) record->log_line("starting");
    TRY(check_host_memory(HostFiles(), config.memory_bytes));
    TRY(check_memory_backing(HostFiles(), config.memory_bytes, config.memory_backing));
    auto machine = TRY(Machine::create(config, record));
    if (record != nullptr) record->watch_process();
    return machine;
}

Result<Ending> run_machine(const RunOptions& options, SignalStop& signals) {
    MachineConfig config = options.machine;
    if (options.kernel_cache) config.kernel_cache = cache_directory("kernels");
    std::optional<MachinePlace> place;
    if (options.named) place.emplace(TRY(MachinePlace::claim(runtime_directory(), config.name)));
    std::unique_ptr<RunRecord> record;
    if (place) record = TRY(RunRecord::create(place->record_path()));
    auto made = make_machine(config, record.get());
    if (!made) {
        if (record) {
            record->ended(kEndRefused, made.error().message());
            place->keep_record();
        }
        return made.take_error();
    }
    auto machine = made.take_value();
    MachineHandle handle(*machine, attach_by_option);
    std::unique_ptr<ControlServer> control;
    if (place) control = TRY(ControlServer::start(place->control_path(), "--name", handle));
    std::fputs(machine->cpu_report().c_str(), stderr);
    std::fputs(machine->graphics_places().c_str(), stderr);
    signals.attach(machine.get());
    const auto run = [&]() -> Result<StopReason> {
        if (record) record->ran(fmt::format("{} MiB, {} processors", config.memory_bytes >> 20,
                                            config.topology.vcpus()));
        TRY(machine->start());
        return machine->wait();
    };
    const auto reason = run();
    signals.attach(nullptr);
    if (record) record_end(*record, *place, *machine, reason);
    if (!reason) return reason.error();

    Ending ending{status_of(reason.value()), reason_line(reason.value())};
    const bool crashed = reason.value() == StopReason::kCrashed;
    if (crashed && (options.dump_registers || options.verbose))
        ending.report += machine->register_dump();
    if (options.verbose) ending.report += machine->summary().text();
    return ending;
}

}  // namespace

int run_command(std::span<const std::string_view> words) {
    const auto options = parse_run_options(words);
    if (!options) {
        print_error(options.error());
        return kExitError;
    }
    if (options.value().help) {
        std::fputs(run_help().c_str(), stdout);
        return kExitOk;
    }
    if (options.value().version) {
        std::puts(kVersionLine);
        return kExitOk;
    }
    if (options.value().verbose) set_log_level(LogLevel::kInfo);
    RunOptions settled = options.value();
    if (!settle_engine(settled)) return kExitNoEngine;

    SignalStop signals;
    Result<Ending> ending = Error("");
    {
        SignalWatch watch([&](int number) { signals.signalled(number); });
        // A reader of the output that goes away is no reason to end.
        ::signal(SIGPIPE, SIG_IGN);
        // A disk that outgrows a limit on files is full for the guest, no end for the machine.
        ::signal(SIGXFSZ, SIG_IGN);
        ending = run_machine(settled, signals);
    }
    if (!ending) {
        print_error(ending.error());
        return kExitError;
    }
    std::fputs(ending.value().report.c_str(), stderr);
    if (const int number = signals.signal(); number != 0) {
        // Whoever sent it sees that it was the signal that ended us.
        ::signal(number, SIG_DFL);
        raise(number);
    }
    return ending.value().status;
}

}  // namespace mynah
