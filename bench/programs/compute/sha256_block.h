// The compression function of SHA-256 [FIPS 180-4 6.2.2] in plain C, and its constants.
#pragma once
#include <stddef.h>
#include <stdint.h>

void sha256_constants(uint32_t constants[64]);
void sha256_blocks(uint32_t hash[8], const unsigned char* bytes, size_t size);
