#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace mynah {

// A byte stream to a program of the host; 0 is none. Never used twice.
using VsockStream = uint64_t;

// Told by a VsockBackend, on its own thread.
class VsockEvents {
  public:
    virtual ~VsockEvents() = default;
    // A program asks for a port of the guest; answered by accept() or close().
    virtual void incoming(VsockStream stream, uint32_t guest_port) = 0;
    // It is worth trying to read and to write again. gone: the program has closed its end.
    virtual void ready(VsockStream stream, bool gone) = 0;
};

// The host side of a socket device: who is reached under which port. All functions from any
// thread; none blocks.
class VsockBackend {
  public:
    virtual ~VsockBackend() = default;
    // When it returns, the former events are no longer told.
    virtual void set_events(VsockEvents* events) = 0;

    // A stream to whoever serves this port; 0: nobody does.
    virtual VsockStream connect(uint32_t port) = 0;
    // Tells the program that asked that it is connected, its own end being this port.
    virtual void accept(VsockStream stream, uint32_t host_port) = 0;

    struct Transfer {
        size_t bytes = 0;
        bool ended = false;  // nothing more will come, or be taken; else 0 bytes: try when ready()
    };
    virtual Transfer read(VsockStream stream, std::span<const std::span<std::byte>> to) = 0;
    virtual Transfer write(VsockStream stream, std::span<const std::byte> from) = 0;
    // The program reads the end of the stream.
    virtual void end_output(VsockStream stream) = 0;
    virtual void close(VsockStream stream) = 0;
};

}  // namespace mynah
