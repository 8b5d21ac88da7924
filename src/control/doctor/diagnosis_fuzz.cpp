#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "base/check.h"
#include "control/doctor/machine_report.h"
#include "control/doctor/serial_signs.h"

// What is left of a machine that may have been anybody's: the record's bytes, and what its guest
// wrote to serial line and screen. All that may come of it is a report of printable lines, not many
// times as long.
namespace {

void check_printable(const std::string& text) {
    for (const char c : text) CHECK((c >= ' ' && c <= '~') || c == '\n' || c == '\t');
}

// The input over a good record, at a place that it chooses; the rest of it is zeros.
std::vector<std::byte> record_of(const uint8_t* data, size_t size) {
    constexpr size_t kMost = 1 << 17;
    std::vector<std::byte> bytes(kMost);
    const uint64_t magic = 0x324452434e594d;
    for (unsigned i = 0; i < sizeof magic; ++i) bytes[i] = static_cast<std::byte>(magic >> (8 * i));
    const size_t at = size < 2 ? sizeof magic : (data[0] | size_t{data[1]} << 8);
    for (size_t i = 2; i < size && at + i < kMost; ++i) bytes[at + i] = std::byte{data[i]};
    return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using mynah::RunRecord;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    RunRecord::Contents record;
    record.has_run = true;
    record.serial = record.log = record.screen = text;
    record.how = "panicked";
    for (const bool running : {true, false}) {
        for (const mynah::Diagnosis& each : mynah::diagnose_record(record, running, 100)) {
            check_printable(each.text);
            check_printable(each.evidence);
        }
    }
    CHECK(mynah::last_lines(text, 4).size() <= size + 4);
    const auto bytes = record_of(data, size);
    if (const auto read = RunRecord::parse(std::span(bytes).first(RunRecord::bytes()))) {
        const auto found = mynah::diagnose_record(*read, false);
        (void)mynah::machine_report("x", false, found, read->screen);
        CHECK(found.size() < 200);
    }
    return 0;
}
