#include "machine/serial_backends.h"

#include <fmt/core.h>

#include <cstdio>

#include "backend/character/file_backend.h"
#include "backend/character/pty_backend.h"
#include "backend/character/socket_backend.h"
#include "backend/character/stdio_backend.h"

namespace mynah {
namespace {

Result<std::unique_ptr<CharacterBackend>> open_backend(const SerialConfig& config, unsigned number,
                                                       const std::function<void()>& quit) {
    using Backend = std::unique_ptr<CharacterBackend>;
    switch (config.kind) {
        case SerialConfig::Kind::kNone:
            return Backend();
        case SerialConfig::Kind::kStdio:
            return Backend(std::make_unique<StdioBackend>(quit));
        case SerialConfig::Kind::kFile:
            return Backend(TRY(FileBackend::open(config.path, config.option + " file=" + config.path)));
        case SerialConfig::Kind::kSocket:
            return Backend(
                TRY(SocketBackend::listen(config.path, config.option + " socket=" + config.path)));
        case SerialConfig::Kind::kPty: {
            auto pty = TRY(PtyBackend::open());
            std::fputs(
                config.option == "--serial"
                    ? fmt::format("mynah: COM{} is {}\r\n", number + 1, pty->device_path()).c_str()
                    : fmt::format("mynah: the virtio console is {}\r\n", pty->device_path()).c_str(),
                stderr);
            return Backend(std::move(pty));
        }
    }
    return Backend();
}

}  // namespace

Result<std::vector<std::unique_ptr<CharacterBackend>>> open_serial_backends(
    const std::vector<SerialConfig>& configs, const std::function<void()>& quit) {
    std::vector<std::unique_ptr<CharacterBackend>> backends;
    // Standard input goes raw last, when nothing can fail any more.
    for (unsigned i = 0; i < configs.size(); ++i) {
        const bool later = configs[i].kind == SerialConfig::Kind::kStdio;
        backends.push_back(later ? nullptr : TRY(open_backend(configs[i], i, quit)));
    }
    for (unsigned i = 0; i < configs.size(); ++i) {
        if (configs[i].kind == SerialConfig::Kind::kStdio) {
            backends[i] = TRY(open_backend(configs[i], i, quit));
        }
    }
    return backends;
}

}  // namespace mynah
