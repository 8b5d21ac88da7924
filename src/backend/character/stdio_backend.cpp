#include "backend/character/stdio_backend.h"

#include <fmt/core.h>
#include <unistd.h>

#include <string>

namespace mynah {

StdioBackend::StdioBackend(std::function<void()> quit)
    : terminal_(Terminal::make_raw(STDIN_FILENO)),
      writer_(STDOUT_FILENO),
      keys_({.quit = std::move(quit),
             .help =
                 [] {
                     const auto text = EscapeKeys::help_text();
                     [[maybe_unused]] const ssize_t written =
                         ::write(STDERR_FILENO, text.data(), text.size());
                 },
             .resize = [this] { return resize_command(); }}) {
    if (terminal_ != nullptr) {
        pump_.start(STDIN_FILENO, InputPump::WhenFull::kDrop,
                    [this](std::span<const std::byte> in, std::vector<std::byte>& out) {
                        keys_.filter(in, out);
                    });
    } else {
        pump_.start(STDIN_FILENO, InputPump::WhenFull::kHoldBack);
    }
}

StdioBackend::~StdioBackend() { pump_.stop(); }

std::optional<TerminalSize> StdioBackend::terminal_size() const {
    const auto size = terminal_ != nullptr ? terminal_->window_size() : std::nullopt;
    if (!size) return std::nullopt;
    return TerminalSize{size->rows, size->columns};
}

// A serial line has no way to tell its width, so the guest's shell is told by a command, at the
// operator's wish.
std::vector<std::byte> StdioBackend::resize_command() const {
    const auto size = terminal_ != nullptr ? terminal_->window_size() : std::nullopt;
    if (!size) return {};
    const std::string command = fmt::format("stty rows {} cols {}\r", size->rows, size->columns);
    const auto bytes = std::as_bytes(std::span(command));
    return {bytes.begin(), bytes.end()};
}

}  // namespace mynah
