#include "machine/recorded_backend.h"

#include <utility>

namespace mynah {
namespace {

class RecordedBackend final : public CharacterBackend {
  public:
    RecordedBackend(std::unique_ptr<CharacterBackend> backend, RunRecord& record, unsigned port)
        : backend_(std::move(backend)), record_(record), port_(port) {}

    void output(std::span<const std::byte> bytes) override {
        record_.serial(port_, bytes);
        backend_->output(bytes);
    }
    void set_sink(CharacterSink* sink) override { backend_->set_sink(sink); }
    void input_wanted() override { backend_->input_wanted(); }
    bool connected() const override { return backend_->connected(); }
    std::optional<TerminalSize> terminal_size() const override {
        return backend_->terminal_size();
    }

  private:
    const std::unique_ptr<CharacterBackend> backend_;
    RunRecord& record_;
    const unsigned port_;
};

}  // namespace

std::unique_ptr<CharacterBackend> record_output(std::unique_ptr<CharacterBackend> backend,
                                                RunRecord& record, unsigned port) {
    return std::make_unique<RecordedBackend>(std::move(backend), record, port);
}

}  // namespace mynah
