#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "backend/character/character_backend.h"
#include "backend/character/input_pump.h"
#include "backend/character/output_writer.h"
#include "base/result.h"
#include "host/fd.h"

namespace mynah {

// A Unix socket that listens at a path; one client at a time, further ones wait until it leaves.
// Output while nobody is connected is dropped. The path is removed at the end.
class SocketBackend final : public CharacterBackend {
 public:
    // Error: names `origin` ("--serial socket=PATH") and why. A path where something that is no
    // abandoned socket lies is left alone.
    static Result<std::unique_ptr<SocketBackend>> listen(const std::string& path,
                                                         const std::string& origin);
    ~SocketBackend() override;

    void output(std::span<const std::byte> bytes) override { writer_.write(bytes); }
    void set_sink(CharacterSink* sink) override { pump_.set_sink(sink); }
    void input_wanted() override { pump_.input_wanted(); }
    bool connected() const override { return connected_; }

 private:
    SocketBackend(Fd listener, std::string path);
    void run();
    void serve_client();

    Fd listener_;
    std::string path_;
    Fd stop_;         // eventfd: the thread ends
    Fd client_left_;  // eventfd: the pump saw the end of the client's input
    Fd client_;       // the accepting thread only
    std::atomic<bool> connected_{false};
    OutputWriter writer_;
    InputPump pump_;
    std::thread thread_;  // accepts
};

}  // namespace mynah
