#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "machine/run_record.h"

namespace mynah {

// What is the matter with a machine, and why we say so.
struct Diagnosis {
    std::string cause;     // a word that programs compare: "guest-panic", "process-crashed"...
    std::string text;      // in plain words
    std::string evidence;  // lines
};

// A processor of a running machine, looked at from time to time.
struct ProcessorSample {
    unsigned vcpu = 0;
    uint64_t rip = 0, rflags = 0;
    bool halted = false;
    bool fresh = false;  // it came to an instruction boundary since it was asked to
};
using ProcessorSamples = std::vector<std::vector<ProcessorSample>>;  // by time

// What the record of a machine says; `running`: its process is there, for so long.
std::vector<Diagnosis> diagnose_record(const RunRecord::Contents& record, bool running,
                                       uint64_t seconds = 0);
// What samples of a running machine say.
std::vector<Diagnosis> diagnose_processors(const ProcessorSamples& samples);

// How far the guest had come when it wrote what is at the end of `serial`.
std::string boot_stage(std::string_view serial);

// `screen`: what is written on it, lines; empty: it has none.
std::string machine_report(std::string_view name, bool running,
                           const std::vector<Diagnosis>& diagnoses, std::string_view screen = "");
nlohmann::json machine_report_json(std::string_view name, bool running,
                                   const std::vector<Diagnosis>& diagnoses,
                                   std::string_view screen = "");

}  // namespace mynah
