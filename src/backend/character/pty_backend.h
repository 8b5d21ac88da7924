#pragma once

#include <memory>
#include <string>

#include "backend/character/character_backend.h"
#include "backend/character/input_pump.h"
#include "backend/character/output_writer.h"
#include "base/result.h"
#include "host/fd.h"

namespace mynah {

// A pseudo-terminal: any terminal program can be attached to device_path() and leave again. Output
// while the terminal's buffer is full, as when nobody is attached for long, is dropped.
class PtyBackend final : public CharacterBackend {
 public:
    static Result<std::unique_ptr<PtyBackend>> open();
    ~PtyBackend() override;

    const std::string& device_path() const { return path_; }

    void output(std::span<const std::byte> bytes) override { writer_.write(bytes); }
    void set_sink(CharacterSink* sink) override { pump_.set_sink(sink); }
    void input_wanted() override { pump_.input_wanted(); }

 private:
    PtyBackend(Fd controller, Fd terminal, std::string path);

    Fd controller_;
    // The other side held open, so that the controller does not see a hang-up between visitors.
    Fd terminal_;
    std::string path_;
    OutputWriter writer_;
    InputPump pump_;  // last: its thread uses the rest
};

}  // namespace mynah
