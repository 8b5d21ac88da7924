#include "silicon/block_trial.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "silicon/compare.h"
#include "silicon/host_runner.h"
#include "silicon/maker.h"

namespace mynah::silicon {
namespace {

constexpr int kDebug = 1, kPageFault = 14;
constexpr uint32_t kPresent = 1, kFetch = 0x10;

// Where the guest maps nothing and the host process has its stack and libraries, and above them the
// kernel's half, of which Linux does not tell what is mapped: no faults to compare in detail.
bool is_the_hosts(uint64_t address) { return (address >> 40) >= 0x7f; }

// Where what the host can do to a page is not just what a page table can.
void adjust(const Injection& injection, Ending& host) {
    if (host.vector != kPageFault) return;
    const bool injected = (host.fault_address & ~uint64_t{0xfff}) == injection.page;
    if (injected && injection.kind == Injection::Kind::kSupervisor) host.error_code |= kPresent;
    if (is_the_hosts(host.fault_address)) host.error_code &= ~kPresent;
}

}  // namespace

bool BlockTrial::on_host(const Block& block, const Injection& injection) {
    if (!assemble(block, program_)) return false;
    host_.run(program_, injection, Pace::kFree, on_host_);
    if (on_host_.vector == Ending::kLost) return false;
    adjust(injection, on_host_);
    undefined_flags_ = block.undefined_flags;
    last_known_ = on_host_.vector != Ending::kCompleted &&
                  instruction_at(program_, on_host_.after.rip, last_);
    if (host_is_amd() && last_known_ && amd_went_its_own_way(last_, on_host_)) return false;
    // Traps and faults of fetching come also between an instruction and the one that defines its
    // flags.
    const bool fetching = on_host_.vector == kPageFault && (on_host_.error_code & kFetch) != 0;
    if (on_host_.vector == kDebug || fetching) undefined_flags_ |= block.undefined_between;
    return true;
}

bool BlockTrial::compare(Guest& guest, Pace pace, const Injection& injection,
                         std::vector<std::string>& lines) {
    note_for_crash(fmt::format("the process crashed in {}, {}{}\n", guest.name, pace_name(pace),
                               injection_name(injection)) +
                   note_);
    guest.runner->run(program_, injection, pace, on_guest_);
    if (on_guest_.vector == Ending::kUnjudged) return false;
    if (is_the_hosts(on_guest_.fault_address)) on_guest_.error_code &= ~kPresent;
    const Subject subject{.mode = program_.mode,
                          .last = last_known_ ? &last_ : nullptr,
                          .undefined_flags = undefined_flags_,
                          .stepped = false};
    lines = differences(subject, on_host_, on_guest_);
    return !lines.empty();
}

BlockTrial::Outcome BlockTrial::run(const Block& block, const Injection& injection) {
    Outcome outcome;
    if (!on_host(block, injection)) {
        outcome.ended = false;
        return outcome;
    }
    outcome.faulted = on_host_.vector != Ending::kCompleted;
    for (Guest& guest : guests_) {
        for (const Pace pace : {Pace::kFree, Pace::kAgain, Pace::kChopped}) {
            // Engines begin anew when they are to count instructions: not with every run.
            constexpr uint64_t kSeldom = 8;
            const auto kind = static_cast<uint64_t>(injection.kind);
            const bool chop = (block.number + (injection.page >> 12) + kind) % kSeldom == 0;
            if (pace == Pace::kChopped && !chop) continue;
            std::vector<std::string> lines;
            if (!compare(guest, pace, injection, lines)) continue;
            outcome.difference = Disagreement{.engine = guest.name,
                                              .pace = pace,
                                              .injection = injection,
                                              .lines = std::move(lines),
                                              .host = on_host_,
                                              .guest = on_guest_};
            return outcome;
        }
    }
    return outcome;
}

bool BlockTrial::crashes(const Block& block, const Injection& injection) {
    std::fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        note_.clear();
        if (std::freopen("/dev/null", "w", stdout) == nullptr) _exit(1);
        run(block, injection);
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status);
}

bool BlockTrial::differs_again(const Block& block, Disagreement& as_before) {
    if (!on_host(block, as_before.injection)) return false;
    for (Guest& guest : guests_) {
        if (guest.name != as_before.engine) continue;
        std::vector<std::string> lines;
        bool differs = compare(guest, Pace::kFree, as_before.injection, lines);
        if (as_before.pace != Pace::kFree)
            differs = compare(guest, as_before.pace, as_before.injection, lines);
        if (!differs) return false;
        as_before.lines = std::move(lines);
        as_before.host = on_host_;
        as_before.guest = on_guest_;
        return true;
    }
    return false;
}

const char* pace_name(Pace pace) {
    switch (pace) {
        case Pace::kFree: return "first run";
        case Pace::kAgain: return "run again";
        case Pace::kChopped: return "run in small portions";
    }
    return "?";
}

std::string injection_name(const Injection& injection) {
    const char* kind = "";
    switch (injection.kind) {
        case Injection::Kind::kNone: return "";
        case Injection::Kind::kAbsent: kind = "absent"; break;
        case Injection::Kind::kReadOnly: kind = "read-only"; break;
        case Injection::Kind::kSupervisor: kind = "the supervisor's"; break;
        case Injection::Kind::kNoExecute: kind = "not executable"; break;
    }
    return fmt::format(", page {:x} {}", injection.page, kind);
}

}  // namespace mynah::silicon
