#include "control/doctor/machine_report.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <sstream>

#include "control/doctor/device_signs.h"
#include "control/doctor/serial_signs.h"
#include "machine/end_words.h"

namespace mynah {
namespace {

constexpr size_t kLogLines = 8, kSerialLines = 12, kScreenLines = 60;

std::string last_words(const RunRecord::Contents& record) {
    std::string text;
    if (!record.log.empty()) text += "last lines of its log:\n" + last_lines(record.log, kLogLines);
    if (!record.serial.empty())
        text += "last lines of the guest:\n" + last_lines(record.serial, kSerialLines);
    return text;
}

Diagnosis process_died(const RunRecord::Contents& record) {
    const std::string by =
        record.signal != 0
            ? fmt::format("by signal {} ({})", record.signal, strsignal(record.signal))
            : std::string("without a word: it was killed (SIGKILL, as the kernel does when memory "
                          "runs out; sudo dmesg tells), or the host stopped");
    return {"process-crashed",
            fmt::format("the process {} that ran the machine ended {}{}", record.process, by,
                        record.has_run ? "" : ", before the guest ran"),
            last_words(record)};
}

Diagnosis refused(const RunRecord::Contents& record) {
    const bool memory = record.evidence.find("the host has too little") != std::string::npos;
    return {memory ? "insufficient-memory" : "refused", "it did not start: " + record.evidence, ""};
}

std::optional<Diagnosis> from_ending(const RunRecord::Contents& record) {
    if (record.how == kEndRefused) return refused(record);
    if (record.how == kEndCrashed)
        return Diagnosis{"triple-fault",
                         "a processor met an exception that it could not deliver, twice (triple "
                         "fault): the guest's interrupt table or stack is not usable",
                         record.evidence};
    if (record.how == kEndPanicked)
        return Diagnosis{"guest-panic",
                         fmt::format("the guest's kernel said through pvpanic that it panicked, {}",
                                     boot_stage(record.serial)),
                         last_lines(record.serial, kSerialLines)};
    if (record.how == kEndHostError)
        return Diagnosis{"host-error", "the machine could not go on: the host or an engine failed",
                         record.evidence + last_words(record)};
    return std::nullopt;
}

}  // namespace

std::vector<Diagnosis> diagnose_record(const RunRecord::Contents& record, bool running,
                                       uint64_t seconds) {
    std::vector<Diagnosis> found;
    const MachineMoment moment{running, seconds};
    if (!running && record.how.empty()) found.push_back(process_died(record));
    if (auto ending = from_ending(record)) found.push_back(std::move(*ending));
    for (Diagnosis& each : signs_in_log(record.log)) found.push_back(std::move(each));
    for (const std::string& output : {record.serial, record.screen}) {
        for (Diagnosis& each : signs_on_serial(output)) {
            const auto same = [&](const Diagnosis& other) { return other.cause == each.cause; };
            if (std::ranges::none_of(found, same)) found.push_back(std::move(each));
        }
    }
    // The engine said what failed.
    const auto of_kvm = [](const Diagnosis& each) {
        return each.cause == "vm-entry-failed" || each.cause == "kvm-internal-error";
    };
    if (std::ranges::any_of(found, of_kvm))
        std::erase_if(found, [](const Diagnosis& each) { return each.cause == "host-error"; });
    // What the network itself shows comes before what programs of the guest write about it.
    std::erase_if(found, [&](const Diagnosis& each) {
        return (each.cause == "no-dhcp" || each.cause == "no-link") && !record.networks.empty();
    });
    for (Diagnosis& each : signs_of_drivers(record, moment)) found.push_back(std::move(each));
    for (Diagnosis& each : signs_of_networks(record, moment)) found.push_back(std::move(each));
    return found;
}

std::vector<Diagnosis> diagnose_processors(const ProcessorSamples& samples) {
    constexpr uint64_t kInterruptFlag = 1u << 9;
    constexpr size_t kEnough = 4;
    std::vector<Diagnosis> found;
    if (samples.size() < kEnough) return found;
    for (size_t i = 0; i < samples.front().size(); ++i) {
        bool off = true, halted = true;
        std::string places;
        for (const auto& moment : samples) {
            if (i >= moment.size()) return found;
            const ProcessorSample& each = moment[i];
            off = off && each.fresh && (each.rflags & kInterruptFlag) == 0;
            halted = halted && each.halted;
            places += fmt::format("  rip {:016x} rflags {:08x}{}\n", each.rip, each.rflags,
                                  each.halted ? " halted" : "");
        }
        // One that waits for its start-up IPI is halted so as well; the first one never does.
        if (!off || (halted && i != 0)) continue;
        found.push_back(
            {"interrupts-off",
             fmt::format("processor {} has interrupts off every time it is looked at and {}: "
                         "nothing can interrupt it any more",
                         samples.front()[i].vcpu, halted ? "is halted" : "runs on"),
             places});
    }
    return found;
}

std::string machine_report(std::string_view name, bool running,
                           const std::vector<Diagnosis>& diagnoses, std::string_view screen) {
    std::string text = fmt::format("{}: {}\n", name, running ? "running" : "not running");
    if (diagnoses.empty()) return text + "nothing wrong is seen\n";
    const auto indented = [&text](const std::string& block) {
        std::istringstream lines(block);
        for (std::string line; std::getline(lines, line);) text += "    " + line + "\n";
    };
    for (const Diagnosis& each : diagnoses) {
        text += fmt::format("{}: {}\n", each.cause, each.text);
        indented(each.evidence);
    }
    if (const std::string shown = last_lines(screen, kScreenLines); !shown.empty()) {
        text += "its screen:\n";
        indented(shown);
    }
    return text;
}

nlohmann::json machine_report_json(std::string_view name, bool running,
                                   const std::vector<Diagnosis>& diagnoses,
                                   std::string_view screen) {
    nlohmann::json list = nlohmann::json::array();
    for (const Diagnosis& each : diagnoses)
        list.push_back({{"cause", each.cause}, {"text", each.text}, {"evidence", each.evidence}});
    return {{"name", std::string(name)},
            {"running", running},
            {"diagnoses", list},
            {"screen", last_lines(screen, kScreenLines)}};
}

}  // namespace mynah
