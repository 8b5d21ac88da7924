#pragma once

#include <memory>
#include <string>

#include "backend/character/character_backend.h"
#include "backend/character/output_writer.h"
#include "base/result.h"
#include "host/fd.h"

namespace mynah {

// Output to a file, which is emptied first; no input.
class FileBackend final : public CharacterBackend {
  public:
    // Error: names `origin` ("--serial file=PATH") and why.
    static Result<std::unique_ptr<FileBackend>> open(const std::string& path,
                                                     const std::string& origin);

    void output(std::span<const std::byte> bytes) override { writer_.write(bytes); }
    void set_sink(CharacterSink*) override {}
    void input_wanted() override {}

  private:
    explicit FileBackend(Fd fd) : fd_(std::move(fd)), writer_(fd_.get()) {}

    Fd fd_;
    OutputWriter writer_;
};

// Nobody: output vanishes, there is no input.
class NullCharacterBackend final : public CharacterBackend {
  public:
    void output(std::span<const std::byte>) override {}
    void set_sink(CharacterSink*) override {}
    void input_wanted() override {}
};

}  // namespace mynah
