#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "backend/character/character_backend.h"

namespace mynah::testing {

// A character stream driven by the test: collects output, offers input as far as the sink has
// space, the rest when the device asks for it. Single-threaded.
class ScriptedCharacterBackend final : public CharacterBackend {
 public:
    void output(std::span<const std::byte> bytes) override;
    void set_sink(CharacterSink* sink) override;
    void input_wanted() override;

    // Types text into the device.
    void type(std::string_view text);
    const std::string& written() const { return written_; }
    void clear_written() { written_.clear(); }
    size_t output_calls() const { return output_calls_; }
    size_t waiting() const { return waiting_.size(); }
    unsigned wanted_calls() const { return wanted_calls_; }

 private:
    void offer();

    CharacterSink* sink_ = nullptr;
    std::string written_;
    std::string waiting_;  // input the sink had no space for
    size_t output_calls_ = 0;
    unsigned wanted_calls_ = 0;
    bool offering_ = false;
};

}  // namespace mynah::testing
