#include "testing/scripted_character_backend.h"

#include <algorithm>

namespace mynah::testing {

void ScriptedCharacterBackend::output(std::span<const std::byte> bytes) {
    written_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    ++output_calls_;
}

void ScriptedCharacterBackend::set_sink(CharacterSink* sink) {
    sink_ = sink;
    offer();
}

void ScriptedCharacterBackend::input_wanted() {
    ++wanted_calls_;
    offer();
}

void ScriptedCharacterBackend::type(std::string_view text) {
    waiting_.append(text);
    offer();
}

// input() may call input_wanted(): the outer loop goes on instead of nesting.
void ScriptedCharacterBackend::offer() {
    if (sink_ == nullptr || offering_) return;
    offering_ = true;
    while (!waiting_.empty()) {
        const size_t count = std::min(waiting_.size(), sink_->input_space());
        if (count == 0) break;
        const std::string chunk = waiting_.substr(0, count);
        waiting_.erase(0, count);
        sink_->input(std::as_bytes(std::span(chunk)));
    }
    offering_ = false;
}

}  // namespace mynah::testing
