#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/check.h"
#include "control/qmp_session.h"
#include "control/recording_machine_test.h"

// A client says anything, in pieces whose sizes the input chooses. Every line of the answer is
// JSON, and there is no more of it than what was said can explain.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    mynah::testing::RecordingMachine machine;
    mynah::QmpSession session(machine);
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    std::string output = session.take_output();
    // Without this half of all inputs would get nowhere.
    bool open =
        size == 0 || (data[0] & 1) != 0 || session.receive("{\"execute\":\"qmp_capabilities\"}");
    for (size_t at = 0; open && at < size;) {
        const size_t piece = size_t{1} + data[at] % 32;
        open = session.receive(text.substr(at, piece));
        at += piece;
    }
    output += session.take_output();
    CHECK(output.size() <= 1000 + size * 300);
    std::istringstream lines(output);
    for (std::string line; std::getline(lines, line);) {
        CHECK(nlohmann::json::parse(line, nullptr, false).is_object());
    }
    return 0;
}
