#pragma once

#include <optional>
#include <string>
#include <vector>

#include "silicon/block.h"
#include "silicon/options.h"

namespace mynah::silicon {

// What one block, run in one way, did on the host and on one engine.
struct Disagreement {
    std::string engine;
    Pace pace = Pace::kFree;
    Injection injection;
    std::vector<std::string> lines;
    Ending host, guest;
};

// Runs blocks on the host and on engines and finds where they differ.
class BlockTrial {
 public:
    BlockTrial(Runner& host, std::vector<Guest>& guests) : host_(host), guests_(guests) {}

    struct Outcome {
        bool ended = true;  // false: it does not end on the host, and nothing was compared
        bool faulted = false;
        std::optional<Disagreement> difference;
    };
    Outcome run(const Block& block, const Injection& injection);
    // On one engine at one pace; for shrinking. True if it differs again.
    bool differs_again(const Block& block, Disagreement& as_before);

    // Whether running it ends the process, tried in a process of its own.
    bool crashes(const Block& block, const Injection& injection);

    // How to run the current block again, should it crash the process.
    void set_note(std::string note) { note_ = std::move(note); }
    const Program& program() const { return program_; }

 private:
    bool on_host(const Block& block, const Injection& injection);
    bool compare(Guest& guest, Pace pace, const Injection& injection,
                 std::vector<std::string>& lines);

    Runner& host_;
    std::vector<Guest>& guests_;
    Program program_;
    std::string note_;
    uint64_t undefined_flags_ = 0;
    Instruction last_;  // what the host's fault is of
    bool last_known_ = false;
    Ending on_host_, on_guest_;
};

const char* pace_name(Pace pace);
std::string injection_name(const Injection& injection);

}  // namespace mynah::silicon
