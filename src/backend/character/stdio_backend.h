#pragma once

#include <memory>

#include "backend/character/character_backend.h"
#include "backend/character/escape_keys.h"
#include "backend/character/input_pump.h"
#include "backend/character/output_writer.h"
#include "host/terminal.h"

namespace mynah {

// Standard input and output. If the input is a terminal it is raw while this lives, and Ctrl-A keys
// work; otherwise (a pipe, a file, /dev/null) every byte goes to the guest, and the end of the
// input is just that.
class StdioBackend final : public CharacterBackend {
 public:
    // `quit`: Ctrl-A X was typed. Called on the input thread.
    explicit StdioBackend(std::function<void()> quit);
    ~StdioBackend() override;

    void output(std::span<const std::byte> bytes) override { writer_.write(bytes); }
    void set_sink(CharacterSink* sink) override { pump_.set_sink(sink); }
    void input_wanted() override { pump_.input_wanted(); }
    std::optional<TerminalSize> terminal_size() const override;

 private:
    std::vector<std::byte> resize_command() const;

    std::unique_ptr<Terminal> terminal_;
    OutputWriter writer_;
    EscapeKeys keys_;
    InputPump pump_;  // last: its thread uses the rest
};

}  // namespace mynah
