// SPDX-License-Identifier: MIT

import tseslint from "typescript-eslint";

// What no type checker finds and what leads to mistakes. Style is not its business.
export default [
	{
		files: ["src/**/*.ts"],
		plugins: { "@typescript-eslint": tseslint.plugin },
		languageOptions: { parser: tseslint.parser, parserOptions: { project: "tsconfig.json", tsconfigRootDir: import.meta.dirname } },
		rules: {
			eqeqeq: "error",
			"prefer-const": "error",
			"no-fallthrough": "error",
			"max-lines-per-function": ["error", { max: 60 }],
			"@typescript-eslint/no-floating-promises": "error",
			"@typescript-eslint/no-misused-promises": "error",
			"@typescript-eslint/await-thenable": "error",
			"@typescript-eslint/no-unsafe-return": "error",
			"@typescript-eslint/no-unnecessary-type-assertion": "error",
			"@typescript-eslint/no-unused-vars": "error",
			"@typescript-eslint/explicit-function-return-type": ["error", { allowExpressions: true }],
		},
	},
];
